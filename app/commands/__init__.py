"""One file a subcommand of ``tally``; imported only when it is called."""
