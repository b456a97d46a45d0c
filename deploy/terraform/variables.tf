variable "environment" {
  description = "Name of this environment, in every resource's name."
  type        = string
  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment is staging or production."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "cidr" {
  description = "The VPC's addresses, a /16."
  type        = string
  default     = "10.40.0.0/16"
  validation {
    condition     = can(cidrnetmask(var.cidr)) && endswith(var.cidr, "/16")
    error_message = "cidr is a /16, such as 10.40.0.0/16."
  }
}

variable "zones" {
  description = "Availability zones by name, two to four; databases need two. Their order fixes the subnets' addresses: add at the end."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 4
    error_message = "zones are two to four names."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one for all."
  type        = bool
}

variable "kubernetes_version" {
  description = "EKS version; Agones 1.61 supports 1.34 to 1.36."
  type        = string
  default     = "1.34"
}

variable "api_public_cidrs" {
  description = "Who may reach the cluster's API from the internet; empty: nobody, it is reached from inside the VPC only."
  type        = list(string)
  default     = []
  validation {
    condition     = !contains(var.api_public_cidrs, "0.0.0.0/0")
    error_message = "the cluster's API is not for the whole internet."
  }
}

variable "admin_roles" {
  description = "IAM roles (ARNs) of those who administer the cluster."
  type        = list(string)
  default     = []
}

variable "namespace" {
  description = "Kubernetes namespace of the release."
  type        = string
  default     = "tickwright"
}

variable "game_ports" {
  description = "Host ports that Agones gives to game servers."
  type        = object({ from = number, to = number })
  default     = { from = 7000, to = 8000 }
}

variable "game_tcp" {
  description = "Whether players come over TCP too (WebSocket)."
  type        = bool
  default     = false
}

variable "game_spot" {
  description = "Spot nodes for game servers; several types, so that one that runs short does not take the fleet along."
  type        = object({ types = list(string), min = number, max = number, desired = number })
}

variable "game_on_demand" {
  description = "On-demand nodes for game servers."
  type        = object({ types = list(string), min = number, max = number, desired = number })
}

variable "services" {
  description = "On-demand nodes for the backend, Agones and monitoring."
  type        = object({ types = list(string), min = number, max = number, desired = number })
}

variable "database" {
  description = "Postgres: instance class, storage in GiB, whether a standby waits in another zone, days of backups."
  type = object({
    class          = string
    storage        = number
    storage_max    = number
    multi_az       = bool
    backup_days    = number
    keep_on_delete = bool
  })
}

variable "redis" {
  description = "Redis: node type, and how many replicas beside the primary (with at least one it fails over by itself)."
  type        = object({ type = string, replicas = number })
}

variable "archive_days" {
  description = "Days after which recordings and exports in the archive bucket are deleted."
  type        = number
  default     = 90
}

variable "log_days" {
  description = "Days that cluster and flow logs are kept."
  type        = number
  default     = 365
}
