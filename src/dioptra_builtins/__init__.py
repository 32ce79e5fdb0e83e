"""The task plugins that come with Dioptra, each addressed as `dioptra_builtins.<package>.<module>.<function>`."""
