"""What is not a stage, one command per file. A new command is one file, and one line in `cli.COMMANDS`."""
