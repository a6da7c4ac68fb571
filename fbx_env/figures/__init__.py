"""What figures are drawn from and how they are laid out, whichever library draws them."""
