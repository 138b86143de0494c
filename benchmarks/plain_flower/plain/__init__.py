"""The plainest federated average: what Flower alone costs a round."""
