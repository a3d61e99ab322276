"""The controller's HTTP API: thin routes over `controller.service`, one shape of error, one token."""
