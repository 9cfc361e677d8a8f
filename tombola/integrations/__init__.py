"""Other people's tools: mirrors of a study in TensorBoard, W&B, MLflow and trackio."""
