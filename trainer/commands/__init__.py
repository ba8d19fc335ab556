"""The commands of the trainer.  They parse first and load torch last."""
