"""What the commands of `doa_edge` understand: options, configuration files. Light to import."""
