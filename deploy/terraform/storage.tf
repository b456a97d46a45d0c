# The archive: match logs (`backend-services ratings export`), database dumps, recordings that are worth keeping.

resource "aws_s3_bucket" "archive" {
  # checkov:skip=CKV_AWS_144:kept in one region; backups of the database are RDS' own
  # checkov:skip=CKV_AWS_18:who reads and writes is in CloudTrail's data events, where an account has them on
  # checkov:skip=CKV2_AWS_62:nothing waits for objects in it
  bucket = "${local.name}-archive-${data.aws_caller_identity.me.account_id}"
}

resource "aws_s3_bucket_public_access_block" "archive" {
  bucket                  = aws_s3_bucket.archive.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "archive" {
  bucket = aws_s3_bucket.archive.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "archive" {
  bucket = aws_s3_bucket.archive.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.main.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "archive" {
  bucket = aws_s3_bucket.archive.id
  rule {
    id     = "age"
    status = "Enabled"
    filter {}
    expiration {
      days = var.archive_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

resource "aws_s3_bucket_policy" "archive" {
  bucket = aws_s3_bucket.archive.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyEncrypted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.archive.arn, "${aws_s3_bucket.archive.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

# What the backend's Secret in Kubernetes is made of: filled by hand once, copied by External Secrets, never in state.
resource "aws_secretsmanager_secret" "backend" {
  # checkov:skip=CKV2_AWS_57:the key that seals connect tokens is changed by the steps in docs/operations.md, not by a clock
  name                    = "${local.name}/backend"
  description             = "TICKWRIGHT_KEY, TICKWRIGHT_SERVICE_TOKEN, TICKWRIGHT_ADMIN_TOKEN, DATABASE_URL, REDIS_URL"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = 30
}
