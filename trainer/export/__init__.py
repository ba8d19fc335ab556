"""From trained networks to bundles: one step function per agent slot."""
