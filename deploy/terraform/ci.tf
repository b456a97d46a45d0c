# Where images are, and what the workflows may do: GitHub's tokens take roles here, no key lies anywhere.

variable "registry" {
  description = "Whether this environment's state has the account's image repositories and its trust in GitHub: one of them does."
  type        = bool
}

variable "github_repository" {
  description = "OWNER/NAME whose workflows build and release; empty: none."
  type        = string
  default     = ""
}

locals {
  github     = "token.actions.githubusercontent.com"
  github_arn = "arn:${data.aws_partition.here.partition}:iam::${data.aws_caller_identity.me.account_id}:oidc-provider/${local.github}"
  # Roles by the workflow's environment, which is where a reviewer is asked.
  ci = var.github_repository == "" ? toset([]) : toset(var.registry ? ["build", var.environment] : [var.environment])
}

resource "aws_ecr_repository" "image" {
  for_each             = var.registry ? toset(["arena-server", "backend", "tools"]) : toset([])
  name                 = "tickwright-${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.main.arn
  }
}

resource "aws_ecr_lifecycle_policy" "image" {
  for_each   = aws_ecr_repository.image
  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "As many releases as one might go back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 300 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.registry && var.github_repository != "" ? 1 : 0
  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "ci" {
  # checkov:skip=CKV_AWS_358:repository and environment are named in full; without a repository there is no such role
  for_each = local.ci
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [local.github_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.github}:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values   = ["repo:${var.github_repository}:environment:${each.key}"]
    }
  }
}

resource "aws_iam_role" "ci" {
  for_each           = local.ci
  name               = each.key == "build" ? "tickwright-build" : "${local.name}-release"
  assume_role_policy = data.aws_iam_policy_document.ci[each.key].json
}

resource "aws_iam_role_policy" "ci" {
  for_each = local.ci
  name     = "work"
  role     = aws_iam_role.ci[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # checkov:skip=CKV_AWS_355:this call knows no resources
      { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = "*" },
      {
        Effect = "Allow"
        Action = concat(
          ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
          each.key == "build" ? ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"] : [],
        )
        Resource = "arn:${data.aws_partition.here.partition}:ecr:${var.region}:${data.aws_caller_identity.me.account_id}:repository/tickwright-*"
      },
      { Effect = "Allow", Action = ["eks:DescribeCluster"], Resource = aws_eks_cluster.main.arn },
    ]
  })
}

# In the cluster the release role is a group that deploy/ci/rights.yaml lets work in one namespace.
resource "aws_eks_access_entry" "release" {
  for_each          = setsubtract(local.ci, ["build"])
  cluster_name      = aws_eks_cluster.main.name
  principal_arn     = aws_iam_role.ci[each.key].arn
  kubernetes_groups = ["tickwright:release"]
}

output "ci_roles" {
  description = "AWS_ROLE of each of the workflow's environments."
  value       = { for name, role in aws_iam_role.ci : name => role.arn }
}
