"""World models: RSSM, heads, their loss, and imagination.  Shared by MAMBA, MABL and MAG."""
