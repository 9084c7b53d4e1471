"""What runs at the lane. It imports the core alone: no web framework, no database."""
