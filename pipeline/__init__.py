"""The commands, one in each module, and below it the folders that do their work; no folder imports a command."""
