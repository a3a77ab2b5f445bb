// Command pulumi-resource-github is the GitHub provider of Pulumi: the Terraform provider for GitHub behind
// Pulumi's bridge. It is built here because no package registry carries the official plugin.
package main

import (
	"context"

	"github.com/integrations/terraform-provider-github/v6/github"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// version is what the plugin reports; localcloud installs it under the version that the Python SDK asks for.
var version = "6.15.0"

func main() {
	provider := tfbridge.ProviderInfo{
		P:           shimv2.NewProvider(github.Provider()),
		Name:        "github",
		Version:     version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	provider.MustComputeTokens(tokens.SingleModule("github_", "index", tokens.MakeStandard("github")))
	_ = context.Background
	tfbridge.Main("github", version, provider, []byte("{}"))
}
