"""What equilibria say: claims compared, prices and routes explained."""
