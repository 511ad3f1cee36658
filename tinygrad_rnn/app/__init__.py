"""The command line, the character model it trains, and the commands for reports and experiments."""
