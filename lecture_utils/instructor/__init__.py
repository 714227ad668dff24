"""What never leaves the instructor's machine: nothing that students get imports it."""
