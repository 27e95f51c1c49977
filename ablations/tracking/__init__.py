"""The MLflow view of studies: what it is told, saved views, its server and its models."""
