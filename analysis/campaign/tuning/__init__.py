"""The search for a method's settings: trials that are runs of a campaign, proposed by Optuna."""
