"""Policy learning in imagination: actor, critic, lambda-returns and PPO.  Shared by every algorithm."""
