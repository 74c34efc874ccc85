"""What a trained run answers to texts, and why."""
