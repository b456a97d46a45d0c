environment  = "staging"
region       = "eu-central-1"
cidr         = "10.40.0.0/16"
zones        = ["eu-central-1a", "eu-central-1b"]
nat_per_zone = false

game_spot      = { types = ["c7i.large", "c6i.large", "c7a.large", "c6a.large"], min = 1, max = 4, desired = 1 }
game_on_demand = { types = ["c7i.large"], min = 1, max = 2, desired = 1 }
services       = { types = ["m7i.large"], min = 2, max = 4, desired = 2 }

database = { class = "db.t4g.medium", storage = 20, storage_max = 100, multi_az = false, backup_days = 7, keep_on_delete = false }
redis    = { type = "cache.t4g.small", replicas = 0 }

archive_days = 30

# The repositories of images are in production's state; set your own github_repository to let its workflows in.
registry = false
