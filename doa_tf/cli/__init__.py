"""The command `doa_tf`: a file a verb. Nothing heavy is imported before a verb runs."""
