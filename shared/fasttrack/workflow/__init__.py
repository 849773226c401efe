"""What happens: each public function is one use case in one transaction, first parameter `db`; the edge commits."""
