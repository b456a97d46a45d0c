output "cluster_name" {
  description = "For aws eks update-kubeconfig --name."
  value       = aws_eks_cluster.main.name
}

output "database_endpoint" {
  description = "HOST:PORT of DATABASE_URL."
  value       = aws_db_instance.main.endpoint
}

output "database_secret_arn" {
  description = "Where RDS keeps user and password."
  value       = aws_db_instance.main.master_user_secret[0].secret_arn
}

output "redis_endpoint" {
  description = "Host of REDIS_URL: rediss://HOST:6379"
  value       = aws_elasticache_replication_group.main.primary_endpoint_address
}

output "backend_secret_arn" {
  description = "The secret to fill, and to copy into the cluster."
  value       = aws_secretsmanager_secret.backend.arn
}

output "archive_bucket" {
  description = "For exports, dumps and recordings."
  value       = aws_s3_bucket.archive.bucket
}

output "workload_roles" {
  description = "Roles for the service accounts of the cluster's add-ons."
  value       = { for name, role in aws_iam_role.workload : name => role.arn }
}

output "helm_values" {
  description = "What the chart must know of this environment: terraform output -json helm_values > values.json, then helm -f values.json."
  value = {
    backend = {
      serviceAccount = { annotations = { "eks.amazonaws.com/role-arn" = aws_iam_role.workload["backend"].arn } }
    }
    networkPolicy = {
      dataCidrs = [for subnet in aws_subnet.data : subnet.cidr_block]
      # The endpoints themselves, and the Service in front of them.
      apiServerCidrs = concat(
        [for subnet in aws_subnet.private : subnet.cidr_block],
        [aws_eks_cluster.main.kubernetes_network_config[0].service_ipv4_cidr],
      )
    }
    gameServer = { region = var.region }
  }
}
