"""The environment as Gymnasium sees it, for one trial and for many."""
