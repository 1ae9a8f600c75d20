"""Real images for trying, training and testing (`sample_data.fetch`), and the small model that ships with them."""
