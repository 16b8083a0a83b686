"""The command `zegelpost doctor`: every setting and every outside service looked at, with one line each."""
