"""A stand-in for a Backend.AI manager: the same protocol, rules and lies as were recorded of real ones, with no cluster.

Commands are run as real processes of this machine; agents, slots and accelerators are counted, not there. It is for
tests and demonstrations, and shares no code with what it tests.
"""
