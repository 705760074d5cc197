package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *api) ListRegistryProviderTypes(ctx context.Context, _ gen.ListRegistryProviderTypesRequestObject) (gen.ListRegistryProviderTypesResponseObject, error) {
	if _, err := a.require(ctx, "replication-adapter", "list"); err != nil {
		return nil, err
	}
	types := gen.ListRegistryProviderTypes200JSONResponse{}
	for _, p := range registry.Providers() {
		types = append(types, p.Type)
	}
	return types, nil
}

func (a *api) ListRegistryProviderInfos(ctx context.Context, _ gen.ListRegistryProviderInfosRequestObject) (gen.ListRegistryProviderInfosResponseObject, error) {
	if _, err := a.require(ctx, "replication-adapter", "list"); err != nil {
		return nil, err
	}
	infos := gen.ListRegistryProviderInfos200JSONResponse{}
	for _, p := range registry.Providers() {
		if p.EndpointPattern != nil || p.CredentialPattern != nil || p.Described {
			infos[p.Type] = wireProvider(p)
		}
	}
	return infos, nil
}

func (a *api) ListRegistries(ctx context.Context, r gen.ListRegistriesRequestObject) (gen.ListRegistriesResponseObject, error) {
	if _, err := a.require(ctx, "registry", "list"); err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize, contains("name", r.Params.Name))
	if err != nil {
		return nil, err
	}
	endpoints, total, err := a.o.Replication.ListEndpoints(ctx, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.Registry, 0, len(endpoints))
	for _, e := range endpoints {
		body = append(body, wireRegistry(e))
	}
	return gen.ListRegistries200JSONResponse{Body: body, Headers: gen.ListRegistries200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) CreateRegistry(ctx context.Context, r gen.CreateRegistryRequestObject) (gen.CreateRegistryResponseObject, error) {
	if _, err := a.require(ctx, "registry", "create"); err != nil {
		return nil, err
	}
	e := replication.Endpoint{
		Name: r.Body.Name, Description: r.Body.Description, Type: r.Body.Type, URL: r.Body.URL,
		Insecure: r.Body.Insecure, CACertificate: r.Body.CaCertificate, Speed: r.Body.Speed,
	}
	if c := r.Body.Credential; c != nil {
		e.Credential = registry.Credential{Type: c.Type, AccessKey: c.AccessKey, AccessSecret: c.AccessSecret}
	}
	id, err := a.o.Replication.CreateEndpoint(ctx, e)
	if err != nil {
		return nil, err
	}
	return created("registries", id), nil
}

func (a *api) PingRegistry(ctx context.Context, r gen.PingRegistryRequestObject) (gen.PingRegistryResponseObject, error) {
	// Harbor asks for the right to read: testing changes nothing.
	if _, err := a.require(ctx, "registry", "read"); err != nil {
		return nil, err
	}
	err := a.o.Replication.PingEndpoint(ctx, replication.EndpointPing{
		ID: r.Body.ID, Type: r.Body.Type, URL: r.Body.URL, CredentialType: r.Body.CredentialType,
		AccessKey: r.Body.AccessKey, AccessSecret: r.Body.AccessSecret, Insecure: r.Body.Insecure, CACertificate: r.Body.CaCertificate,
	})
	if failed, ok := errors.AsType[*registry.PingError](err); ok {
		return nil, problem.New(problem.BadRequest, "the registry is unhealthy: %s", failed)
	}
	if err != nil {
		return nil, err
	}
	return gen.PingRegistry200Response{}, nil
}

func (a *api) GetRegistry(ctx context.Context, r gen.GetRegistryRequestObject) (gen.GetRegistryResponseObject, error) {
	if _, err := a.require(ctx, "registry", "read"); err != nil {
		return nil, err
	}
	e, err := a.o.Replication.GetEndpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.GetRegistry200JSONResponse(wireRegistry(e)), nil
}

func (a *api) UpdateRegistry(ctx context.Context, r gen.UpdateRegistryRequestObject) (gen.UpdateRegistryResponseObject, error) {
	if _, err := a.require(ctx, "registry", "update"); err != nil {
		return nil, err
	}
	err := a.o.Replication.UpdateEndpoint(ctx, r.ID, replication.EndpointUpdate{
		Name: r.Body.Name, Description: r.Body.Description, URL: r.Body.URL, CredentialType: r.Body.CredentialType,
		AccessKey: r.Body.AccessKey, AccessSecret: r.Body.AccessSecret, Insecure: r.Body.Insecure, CACertificate: r.Body.CaCertificate,
		Speed: r.Body.Speed,
	})
	if err != nil {
		return nil, err
	}
	return gen.UpdateRegistry200Response{}, nil
}

func (a *api) DeleteRegistry(ctx context.Context, r gen.DeleteRegistryRequestObject) (gen.DeleteRegistryResponseObject, error) {
	if _, err := a.require(ctx, "registry", "delete"); err != nil {
		return nil, err
	}
	if err := a.o.Replication.DeleteEndpoint(ctx, r.ID); err != nil {
		return nil, err
	}
	return gen.DeleteRegistry200Response{}, nil
}

func (a *api) GetRegistryInfo(ctx context.Context, r gen.GetRegistryInfoRequestObject) (gen.GetRegistryInfoResponseObject, error) {
	if _, err := a.require(ctx, "registry", "read"); err != nil {
		return nil, err
	}
	info, err := a.o.Replication.EndpointInfo(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.GetRegistryInfo200JSONResponse(wireInfo(info)), nil
}

// created is the answer to a request that made something: its path, as Harbor
// writes it. Clients take ids from it, so it is never an absolute URL.
func created(resource string, id int64) gen.CreatedResponse {
	return createdAt(fmt.Sprintf("%s/%s/%d", basePath, resource, id))
}

func createdAt(path string) gen.CreatedResponse {
	return gen.CreatedResponse{Headers: gen.CreatedResponseHeaders{Location: path}}
}

// wireRegistry never shows a secret. The home registry (id 0) looks as Harbor
// shows its own.
func wireRegistry(e replication.Endpoint) gen.Registry {
	w := gen.Registry{
		ID: e.ID, Name: e.Name, Description: e.Description, Type: e.Type, URL: e.URL, Insecure: e.Insecure,
		CaCertificate: e.CACertificate, Speed: e.Speed, Status: e.Status, StatusReason: e.StatusReason,
		CreationTime: gen.Time{Time: e.CreationTime}, UpdateTime: gen.Time{Time: e.UpdateTime},
		Credential: &gen.RegistryCredential{AccessKey: e.Credential.AccessKey, Type: e.Credential.Type},
	}
	if !e.CheckedTime.IsZero() {
		w.CheckedTime = &gen.Time{Time: e.CheckedTime}
	}
	if e.ID == replication.HomeID {
		w.Credential = &gen.RegistryCredential{Type: "secret", AccessSecret: replication.MaskedSecret}
	} else if e.Credential.AccessSecret != "" {
		w.Credential.AccessSecret = replication.MaskedSecret
	}
	return w
}

func wireInfo(i registry.Info) gen.RegistryInfo {
	w := gen.RegistryInfo{
		Type: i.Type, Description: i.Description, SupportedTriggers: i.SupportedTriggers, SupportedCopyByChunk: i.SupportedCopyByChunk,
		SupportedResourceFilters: make([]gen.FilterStyle, 0, len(i.SupportedResourceFilters)),
	}
	for _, f := range i.SupportedResourceFilters {
		w.SupportedResourceFilters = append(w.SupportedResourceFilters, gen.FilterStyle{Type: f.Type, Style: f.Style, Values: f.Values})
	}
	return w
}

func wireProvider(p registry.ProviderInfo) gen.RegistryProviderInfo {
	var w gen.RegistryProviderInfo
	if e := p.EndpointPattern; e != nil {
		w.EndpointPattern = &gen.RegistryProviderEndpointPattern{EndpointType: e.EndpointType, Endpoints: []gen.RegistryEndpoint{}}
		for _, known := range e.Endpoints {
			w.EndpointPattern.Endpoints = append(w.EndpointPattern.Endpoints, gen.RegistryEndpoint{Key: known.Key, Value: known.Value})
		}
	}
	if c := p.CredentialPattern; c != nil {
		w.CredentialPattern = &gen.RegistryProviderCredentialPattern{
			AccessKeyType: c.AccessKeyType, AccessKeyData: c.AccessKeyData, AccessSecretType: c.AccessSecretType, AccessSecretData: c.AccessSecretData,
		}
	}
	return w
}
