"""The training loop and a run: its settings, folder, checkpoints, evaluations, and what people see of it."""
