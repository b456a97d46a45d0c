environment  = "production"
region       = "eu-central-1"
cidr         = "10.41.0.0/16"
zones        = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
nat_per_zone = true

# Two thirds of the game nodes are spot, over twelve kinds of machine in three zones.
game_spot = {
  types = ["c7i.xlarge", "c6i.xlarge", "c7a.xlarge", "c6a.xlarge", "c5.xlarge", "c5a.xlarge", "m7i.xlarge", "m6i.xlarge", "m7a.xlarge", "m6a.xlarge", "m5.xlarge", "m5a.xlarge"]
  min   = 4, max = 60, desired = 4
}
game_on_demand = { types = ["c7i.xlarge"], min = 2, max = 30, desired = 2 }
services       = { types = ["m7i.xlarge"], min = 3, max = 9, desired = 3 }

database = { class = "db.r7g.xlarge", storage = 200, storage_max = 2000, multi_az = true, backup_days = 35, keep_on_delete = true }
redis    = { type = "cache.r7g.large", replicas = 1 }

archive_days = 365

# The repositories of images are in production's state; set your own github_repository to let its workflows in.
registry = true
