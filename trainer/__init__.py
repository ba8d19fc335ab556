"""The trainer: learns multi-agent world models centrally and exports one bundle per agent.

Imports torch and `heliograph` (never `heliograph.rpc`, `heliograph.pb`, grpc or another role).
"""
