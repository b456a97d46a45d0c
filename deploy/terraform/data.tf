# Postgres and Redis, in subnets without a way out, for the cluster's nodes alone.

resource "aws_db_subnet_group" "main" {
  name       = local.name
  subnet_ids = [for subnet in aws_subnet.data : subnet.id]
}

resource "aws_elasticache_subnet_group" "main" {
  name       = local.name
  subnet_ids = [for subnet in aws_subnet.data : subnet.id]
}

resource "aws_security_group" "data" {
  for_each    = { postgres = 5432, redis = 6379 }
  name        = "${local.name}-${each.key}"
  description = "The cluster's nodes to ${each.key}"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${local.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "data" {
  for_each                     = { postgres = 5432, redis = 6379 }
  security_group_id            = aws_security_group.data[each.key].id
  description                  = "From the cluster's nodes"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  referenced_security_group_id = aws_eks_cluster.main.vpc_config[0].cluster_security_group_id
}

resource "aws_db_parameter_group" "main" {
  name   = local.name
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_min_duration_statement"
    value = "250"
  }
  # An acknowledged write is on disk: never off.
  parameter {
    name  = "synchronous_commit"
    value = "on"
  }
}

resource "aws_db_instance" "main" {
  identifier     = local.name
  engine         = "postgres"
  engine_version = "17"
  instance_class = var.database.class
  db_name        = "tickwright"
  username       = "tickwright"
  # The password is made by RDS, rotated by Secrets Manager, and never in Terraform's state.
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = aws_kms_key.main.arn
  iam_database_authentication_enabled = true

  allocated_storage     = var.database.storage
  max_allocated_storage = var.database.storage_max
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.main.arn

  multi_az               = var.database.multi_az
  db_subnet_group_name   = aws_db_subnet_group.main.name
  vpc_security_group_ids = [aws_security_group.data["postgres"].id]
  parameter_group_name   = aws_db_parameter_group.main.name
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  # Point-in-time recovery within these days.
  backup_retention_period   = var.database.backup_days
  backup_window             = "03:00-04:00"
  maintenance_window        = "tue:04:30-tue:05:30"
  copy_tags_to_snapshot     = true
  deletion_protection       = var.database.keep_on_delete
  skip_final_snapshot       = !var.database.keep_on_delete
  final_snapshot_identifier = var.database.keep_on_delete ? "${local.name}-final" : null

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.main.arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.database_monitoring.arn
}

resource "aws_elasticache_parameter_group" "main" {
  name   = local.name
  family = "redis7"

  # The matchmaker's queue is in it as well as ranks: it says that it is full, and forgets nothing.
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "main" {
  # checkov:skip=CKV2_AWS_50:it fails over by itself wherever it has a replica; staging has none
  # checkov:skip=CKV_AWS_31:the network alone decides who gets in; a token in Terraform's state would be worse. See deploy/README.md
  replication_group_id = local.name
  description          = "Ranks, queues and locks of ${local.name}"
  engine               = "redis"
  engine_version       = "7.1"
  node_type            = var.redis.type
  num_cache_clusters   = 1 + var.redis.replicas
  parameter_group_name = aws_elasticache_parameter_group.main.name
  subnet_group_name    = aws_elasticache_subnet_group.main.name
  security_group_ids   = [aws_security_group.data["redis"].id]

  automatic_failover_enabled = var.redis.replicas > 0
  multi_az_enabled           = var.redis.replicas > 0
  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.main.arn
  transit_encryption_enabled = true
  snapshot_retention_limit   = 1
  snapshot_window            = "02:00-03:00"
  maintenance_window         = "tue:05:30-tue:06:30"
  auto_minor_version_upgrade = true
}
