"""Training: recipes, the model, its optimizer and metrics."""
