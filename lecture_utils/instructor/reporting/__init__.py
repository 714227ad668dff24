"""What an instructor reads of a graded class, and what students get back."""
