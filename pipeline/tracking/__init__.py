"""What MLflow shows, gathered from result files (records), and how it gets there (projection)."""
