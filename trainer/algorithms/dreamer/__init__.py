"""What the algorithms with a recurrent world model share: learning it, and actor and critic in its imagination."""
