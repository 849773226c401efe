"""The commands: one noun, one file. Only signatures and help are at the top; what is heavy is imported inside."""
