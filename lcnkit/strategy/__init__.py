"""Built-in strategies: the rules that choose among the candidates of a chip, one file each."""
