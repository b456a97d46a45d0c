terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }

  # Which bucket is in environments/NAME.s3.tfbackend: terraform init -backend-config=environments/staging.s3.tfbackend
  backend "s3" {}
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = "tickwright"
      Environment = var.environment
    }
  }
}
