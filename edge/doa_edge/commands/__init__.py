"""The command `doa_edge`: a file a verb. Nothing heavy is imported before a verb runs."""
