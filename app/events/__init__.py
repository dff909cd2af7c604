"""Live progress: durable events, and the stream that replays them."""
