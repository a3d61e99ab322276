"""Where replicas run: the interface (`base`) and processes on this machine (`local`)."""
