# Three pools. Game servers run on machines with public addresses, two thirds of them spot; everything else in private ones.

locals {
  pools = {
    game-spot = {
      size     = var.game_spot
      capacity = "SPOT"
      subnets  = aws_subnet.public
      taints   = { "tickwright.dev/game" = "true", "tickwright.dev/spot" = "true" }
    }
    game-on-demand = {
      size     = var.game_on_demand
      capacity = "ON_DEMAND"
      subnets  = aws_subnet.public
      taints   = { "tickwright.dev/game" = "true" }
    }
  }
  # The folder that values-pools.yaml mounts: results wait in it for a backend that is away. Nobody but the server's own
  # user may write there. Core buffers are for bursts of datagrams.
  game_node = <<-EOT
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="part"

    --part
    Content-Type: text/x-shellscript; charset="us-ascii"

    #!/bin/bash
    set -euo pipefail
    install -d -m 0700 -o 65532 -g 65532 /var/lib/tickwright/results
    sysctl -w net.core.rmem_max=8388608 net.core.wmem_max=8388608

    --part--
  EOT
}

resource "aws_security_group" "game" {
  name        = "${local.name}-game"
  description = "Players to game servers"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${local.name}-game" }
}

resource "aws_vpc_security_group_ingress_rule" "players_udp" {
  security_group_id = aws_security_group.game.id
  description       = "Players, on the host ports that Agones hands out"
  ip_protocol       = "udp"
  from_port         = var.game_ports.from
  to_port           = var.game_ports.to
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "players_tcp" {
  count             = var.game_tcp ? 1 : 0
  security_group_id = aws_security_group.game.id
  description       = "Players over WebSocket, the same ports"
  ip_protocol       = "tcp"
  from_port         = var.game_ports.from
  to_port           = var.game_ports.to
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_launch_template" "node" {
  for_each = merge({ services = "" }, { for name, pool in local.pools : name => base64encode(local.game_node) })
  name     = "${local.name}-${each.key}"
  # The cluster's own group is what nodes and control plane know each other by.
  vpc_security_group_ids = concat(
    [aws_eks_cluster.main.vpc_config[0].cluster_security_group_id],
    each.key == "services" ? [] : [aws_security_group.game.id],
  )
  user_data = each.value == "" ? null : each.value

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Pods are one hop further away: they get no credentials of the node.
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = 50
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = aws_kms_key.main.arn
      delete_on_termination = true
    }
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${local.name}-${each.key}" }
  }
}

resource "aws_eks_node_group" "game" {
  for_each        = local.pools
  cluster_name    = aws_eks_cluster.main.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for subnet in each.value.subnets : subnet.id]
  capacity_type   = each.value.capacity
  instance_types  = each.value.size.types
  ami_type        = "AL2023_x86_64_STANDARD"

  launch_template {
    id      = aws_launch_template.node[each.key].id
    version = aws_launch_template.node[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.size.min
    max_size     = each.value.size.max
    desired_size = each.value.size.desired
  }

  update_config {
    max_unavailable_percentage = 25
  }

  labels = { "tickwright.dev/pool" = each.key }

  dynamic "taint" {
    for_each = each.value.taints
    content {
      key    = taint.key
      value  = taint.value
      effect = "NO_SCHEDULE"
    }
  }

  lifecycle {
    # The cluster autoscaler has the number.
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network]
}

resource "aws_eks_node_group" "services" {
  cluster_name    = aws_eks_cluster.main.name
  node_group_name = "services"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for subnet in aws_subnet.private : subnet.id]
  capacity_type   = "ON_DEMAND"
  instance_types  = var.services.types
  ami_type        = "AL2023_x86_64_STANDARD"

  launch_template {
    id      = aws_launch_template.node["services"].id
    version = aws_launch_template.node["services"].latest_version
  }

  scaling_config {
    min_size     = var.services.min
    max_size     = var.services.max
    desired_size = var.services.desired
  }

  update_config {
    max_unavailable = 1
  }

  labels = { "tickwright.dev/pool" = "services" }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network]
}
