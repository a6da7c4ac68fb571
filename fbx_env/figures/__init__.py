"""The numbers and the layout of figures, whichever library draws them."""
