"""What an instructor's machine does with submissions."""
