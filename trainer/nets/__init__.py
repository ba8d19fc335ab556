"""Network pieces that every algorithm shares.  Only the trainer may import them."""
