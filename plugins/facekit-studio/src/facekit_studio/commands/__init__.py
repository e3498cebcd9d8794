"""The commands of the plugin. Each imports torch when it is called, not before."""
