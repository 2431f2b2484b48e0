"""Options of the command line and of configuration files. Light to import."""
