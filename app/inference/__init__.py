"""Upload first, count later: what people who draw exemplars before they count need."""
